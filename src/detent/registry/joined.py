"""The contributions of all features, joined.

They are additive and disjoint: two owners of one name stop the start and both are named. Order is by named phase,
never by number. Discovery metadata is merged from what stands here, so it cannot promise what is not routed.
"""

from collections.abc import Iterable
from typing import Any, TypeVar

from detent.core.claims import ACCESS_CLAIMS
from detent.registry.authorizing import ClientSource, RequestReader, RequestSource, ResponseMode
from detent.registry.feature import ClientCheck, Feature
from detent.registry.requests import ClientAuth, Grant, Phase, Possession, ResourcePolicy, Stage
from detent.registry.routes import ClientRoute, Route
from detent.registry.tokens import Envelope, Mark, RefreshStrategy, Release, SubjectType, TokenFormat

_CLAIM = "access token claim"


class RegistryError(Exception):
    """Two features claim one name, or one misses what it requires: the start stops with this sentence."""


T = TypeVar("T")


class Registry:
    """The contributions of all features, joined and proved disjoint.

    What stands here is filled in place: whatever features are built of can be given it before they are.
    """

    def __init__(self, *features: Feature) -> None:
        self._owners = {(_CLAIM, claim): "the server" for claim in ACCESS_CLAIMS}
        self.features: list[Feature] = []
        self.grants: dict[str, Grant] = {}
        self.client_auth: dict[str, ClientAuth] = {}
        self.token_formats: dict[str, TokenFormat] = {}
        self.strategies: dict[str, RefreshStrategy] = {}
        self.marks: dict[str, Mark] = {}
        self.resource_policies: dict[str, ResourcePolicy] = {}
        self.releases: dict[str, Release] = {}
        self.subject_types: dict[str, SubjectType] = {}
        self.envelopes: list[Envelope] = []
        self.request_readers: list[RequestReader] = []
        self._stages: dict[str, Stage] = {}
        self.stages: list[Stage] = []
        self.possession: dict[str, Possession] = {}
        self.response_modes: dict[str, ResponseMode] = {}
        self.request_sources: list[RequestSource] = []
        self.client_sources: list[ClientSource] = []
        self.routes: dict[str, Route] = {}
        self.client_routes: list[ClientRoute] = []
        self.metadata: dict[str, Any] = {}
        self.client_metadata: dict[str, Any] = {}
        self.client_checks: list[ClientCheck] = []
        self.join(*features)

    def join(self, *features: Feature) -> None:
        """Beside those that stand here already. Raises RegistryError."""
        self.features.extend(features)
        _check_company(self.features)
        for feature in features:
            self._join_named(feature)
            self.envelopes.extend(feature.envelopes)
            self.request_readers.extend(feature.request_readers)
            self.request_sources.extend(feature.request_sources)
            self.client_sources.extend(feature.client_sources)
            self.client_routes.extend(feature.client_routes)
            self.client_checks.extend(feature.client_checks)
        self.stages[:] = [stage for phase in Phase for stage in self._stages.values() if stage.phase is phase]

    def _join_named(self, new: Feature) -> None:
        def join(what: str, joined: dict[str, T], named: Iterable[tuple[str, T]]) -> None:
            for name, value in named:
                if owner := self._owners.get((what, name)):
                    raise RegistryError(f"The {what} {name} is claimed by both {owner} and {new.name}.")
                self._owners[what, name], joined[name] = new.name, value

        join("grant type", self.grants, [(each.grant_type, each) for each in new.grants])
        join("authentication method", self.client_auth, [(each.method, each) for each in new.client_auth])
        join("token format", self.token_formats, [(each.name, each) for each in new.token_formats])
        join("refresh strategy", self.strategies, [(each.name, each) for each in new.strategies])
        join(_CLAIM, self.marks, [(each.claim, each) for each in new.marks])
        join("resource policy", self.resource_policies, [(each.name, each) for each in new.resource_policies])
        join("release", self.releases, [(each.name, each) for each in new.releases])
        join("subject type", self.subject_types, [(each.name, each) for each in new.subject_types])
        join("stage", self._stages, [(each.name, each) for each in new.stages])
        join("possession", self.possession, [(each.name, each) for each in new.possession])
        join("response mode", self.response_modes, [(each.name, each) for each in new.response_modes])
        join("route", self.routes, [(each.path, each) for each in new.routes])
        join("metadata member", self.metadata, new.metadata.items())
        join("metadata member", self.metadata, [(each.metadata, each) for each in new.routes if each.metadata])
        join("client metadata", self.client_metadata, new.client_metadata.items())


def _check_company(features: list[Feature]) -> None:
    names = [feature.name for feature in features]
    for feature in features:
        if names.count(feature.name) > 1:
            raise RegistryError(f"The feature {feature.name} is listed twice.")
        if missing := [name for name in feature.requires if name not in names]:
            raise RegistryError(f"The feature {feature.name} requires {', '.join(missing)}.")
        if against := [name for name in feature.conflicts if name in names]:
            raise RegistryError(f"The feature {feature.name} cannot stand beside {', '.join(against)}.")
