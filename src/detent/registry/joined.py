"""The contributions of all features, joined.

They are additive and disjoint: two owners of one name stop the start and both are named. Order is by named phase,
never by number. Discovery metadata is merged from what stands here, so it cannot promise what is not routed.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from detent.core.claims import ACCESS_CLAIMS
from detent.registry.feature import Feature
from detent.registry.requests import (
    Phase,
)


class RegistryError(Exception):
    """Two features claim one name, or one misses what it requires: the start stops with this sentence."""


T = TypeVar("T")


class Registry:
    """The contributions of all features, joined and proved disjoint."""

    def __init__(self, features: tuple[Feature, ...]) -> None:
        _check_company(features)
        self.features = features
        self.grants = _joined("grant type", features, lambda f: [(g.grant_type, g) for g in f.grants])
        self.client_auth = _joined("authentication method", features, lambda f: [(a.method, a) for a in f.client_auth])
        self.token_formats = _joined("token format", features, lambda f: [(t.name, t) for t in f.token_formats])
        self.strategies = _joined("refresh strategy", features, lambda f: [(s.name, s) for s in f.strategies])
        self.marks = _joined("access token claim", features, lambda f: [(m.claim, m) for m in f.marks], ACCESS_CLAIMS)
        self.resource_policies = _joined(
            "resource policy", features, lambda f: [(p.name, p) for p in f.resource_policies]
        )
        self.releases = _joined("release", features, lambda f: [(r.name, r) for r in f.releases])
        self.subject_types = _joined("subject type", features, lambda f: [(s.name, s) for s in f.subject_types])
        self.envelopes = tuple(envelope for feature in features for envelope in feature.envelopes)
        self.request_readers = tuple(reader for feature in features for reader in feature.request_readers)
        self.possession = _joined("possession", features, lambda f: [(p.name, p) for p in f.possession])
        self.response_modes = _joined("response mode", features, lambda f: [(m.name, m) for m in f.response_modes])
        self.routes = _joined("route", features, lambda f: [(r.path, r) for r in f.routes])
        self.client_routes = tuple(route for feature in features for route in feature.client_routes)
        self.metadata = _joined("metadata member", features, lambda f: [*f.metadata.items(), *_route_members(f)])
        self.client_metadata = _joined("client metadata", features, lambda f: list(f.client_metadata.items()))
        self.request_sources = tuple(source for feature in features for source in feature.request_sources)
        self.client_sources = tuple(source for feature in features for source in feature.client_sources)
        self.client_checks = tuple(check for feature in features for check in feature.client_checks)
        stages = _joined("stage", features, lambda f: [(s.name, s) for s in f.stages])
        self.stages = tuple(stage for phase in Phase for stage in stages.values() if stage.phase is phase)


def _route_members(feature: Feature) -> list[tuple[str, Any]]:
    return [(route.metadata, route) for route in feature.routes if route.metadata]


def _joined(
    what: str,
    features: tuple[Feature, ...],
    of: Callable[[Feature], list[tuple[str, T]]],
    taken: Iterable[str] = (),
) -> dict[str, T]:
    owners = dict.fromkeys(taken, "the server")
    joined: dict[str, T] = {}
    for feature in features:
        for name, value in of(feature):
            if name in owners:
                raise RegistryError(f"The {what} {name} is claimed by both {owners[name]} and {feature.name}.")
            owners[name], joined[name] = feature.name, value
    return joined


def _check_company(features: tuple[Feature, ...]) -> None:
    names = [feature.name for feature in features]
    for feature in features:
        if names.count(feature.name) > 1:
            raise RegistryError(f"The feature {feature.name} is listed twice.")
        if missing := [name for name in feature.requires if name not in names]:
            raise RegistryError(f"The feature {feature.name} requires {', '.join(missing)}.")
        if against := [name for name in feature.conflicts if name in names]:
            raise RegistryError(f"The feature {feature.name} cannot stand beside {', '.join(against)}.")
