"""A `Feature`: one optional specification, as the sum of what it contributes at the points beside this file."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import msgspec

from detent.core.client import Client
from detent.registry.authorizing import ClientSource, RequestReader, RequestSource, ResponseMode
from detent.registry.requests import ClientAuth, Grant, Possession, ResourcePolicy, Stage
from detent.registry.routes import ClientRoute, Route
from detent.registry.tokens import Envelope, Mark, RefreshStrategy, Release, SubjectType, TokenFormat

ClientCheck = Callable[[Client], Awaitable[None]]  # raises InvalidClientMetadata


class Feature(msgspec.Struct, frozen=True):
    """One optional specification (or the base itself) as the sum of what it contributes.

    `client_metadata` are members of a registration (RFC 7591 §2) by name and type, any that msgspec knows; a client
    keeps them in `extra`. `client_checks` look at a client that is about to be registered or changed as a whole.
    """

    name: str
    specs: tuple[str, ...]
    grants: tuple[Grant, ...] = ()
    client_auth: tuple[ClientAuth, ...] = ()
    token_formats: tuple[TokenFormat, ...] = ()
    strategies: tuple[RefreshStrategy, ...] = ()
    marks: tuple[Mark, ...] = ()
    resource_policies: tuple[ResourcePolicy, ...] = ()
    releases: tuple[Release, ...] = ()
    subject_types: tuple[SubjectType, ...] = ()
    envelopes: tuple[Envelope, ...] = ()
    request_readers: tuple[RequestReader, ...] = ()
    stages: tuple[Stage, ...] = ()
    possession: tuple[Possession, ...] = ()
    response_modes: tuple[ResponseMode, ...] = ()
    request_sources: tuple[RequestSource, ...] = ()
    client_sources: tuple[ClientSource, ...] = ()
    routes: tuple[Route, ...] = ()
    client_routes: tuple[ClientRoute, ...] = ()
    metadata: Mapping[str, Any] = {}
    client_metadata: Mapping[str, Any] = {}
    client_checks: tuple[ClientCheck, ...] = ()
    requires: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()


def without(features: tuple[Feature, ...], names: Collection[str]) -> tuple[Feature, ...]:
    """What is left once whatever has one of these names is out: features, grant types, authentication methods,
    response modes, paths.
    """
    return tuple(
        msgspec.structs.replace(
            feature,
            grants=tuple(each for each in feature.grants if each.grant_type not in names),
            client_auth=tuple(each for each in feature.client_auth if each.method not in names),
            response_modes=tuple(each for each in feature.response_modes if each.name not in names),
            routes=tuple(each for each in feature.routes if each.path not in names),
        )
        for feature in features
        if feature.name not in names
    )
