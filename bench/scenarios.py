"""What is measured, one function for each row of the table: the grants, introspection and the documents.

Rows that need more than a server and a rate are in scenarios_whole.py. Bars are those of the project's issue; a ratio
is to the yardstick's refreshes with an ES256 access token at 64 connections, unless it says otherwise.
"""

from collections.abc import Callable, Iterator

from bench.generator import Load
from bench.measure import Bar, Line, Options, Point, line, refreshing, run
from bench.processes import Database, Server

IntoLoad = Callable[[], Load]
CODES_A_SECOND, TOKENS_A_SECOND = 8_000, 12_000  # made beforehand: more than a core can take
SEEN = 1_000  # tokens that are introspected over and over


def refresh_es256(options: Options) -> Iterator[Line]:
    server = Server(families=options.chains)
    before = server.tell("figures")
    bar = Bar(6_000, 2.4, 25)
    yield line("refresh, SQLite, ES256", bar, options, refreshing(server, options))
    after = server.tell("figures")
    per = (f"{name} {(after[name] - before[name]) / after['writes']:.3f}" for name in ("reads", "inserts", "commits"))
    yield Line("of these, for each update", "1 read, 0 inserts, shared commits", ", ".join(per))
    yield line("refresh, SQLite, ES256, 1 connection", Bar(p99=3), options, refreshing(server, options, 1))
    server.stop()


def refresh_rs256(options: Options) -> Iterator[Line]:
    server = Server(alg="RS256", families=options.chains)
    yield line("refresh, SQLite, RS256", Bar(2_000, 1.5), options, refreshing(server, options), against="RS256")
    server.stop()


def refresh_rs256_openid(options: Options) -> Iterator[Line]:
    for bar, core in ((Bar(1_250, 0.5), {}), (Bar(2_200), {"core": None})):
        server = Server(alg="RS256", families=options.chains, scope="openid api", **core)  # type: ignore[arg-type]
        where = "on every core" if core else "on one core"
        yield line(f"refresh, RS256 access + ID token, {where}", bar, options, refreshing(server, options))
        server.stop()


def refresh_postgres(options: Options) -> Iterator[Line]:
    """Server and database share a core; the CPU time is that of both."""
    database = Database()
    server = Server(families=options.chains, postgres=database.address)
    ours = refreshing(server, options, pids=database.pids())
    yield line("refresh, PostgreSQL on the same core", Bar(4_000, 1.6, 25), options, ours)
    server.stop()


def postgres(options: Options) -> Iterator[Line]:
    """What no bar is set for: other requests with the database on the same core."""
    database = Database()
    server = Server(families=options.chains, postgres=database.address)
    loads = (("code + PKCE", _codes(server, options)), ("introspection, token seen before", _seen(server)))
    for item, load in loads:
        yield line(f"{item}, PostgreSQL", Bar(), options, _asking(server, load, options, database))
    server.stop()


def nodes(options: Options) -> Iterator[Line]:
    """One, two and three servers on one PostgreSQL, all on one core: what more of them cost, and that none is lost."""
    database = Database()
    servers = [Server(families=options.chains, postgres=database.address)]
    alone = 0.0
    for many in (1, 2, 3):
        if many > 1:
            servers.append(Server(servers[0].folder, families=0, postgres=database.address))
        point = line(f"{many} nodes on one PostgreSQL", Bar(), options, lambda: shared(servers, options, database))
        rate = float(point.ours.split("/s")[0].replace(",", ""))
        alone = alone or rate
        bar = "≥ 0.8 × one node on the same core" if many > 1 else ""
        yield Line(
            point.item, bar, point.ours, point.ratio, point.p50, point.p99, point.cpu,
            rate >= 0.8 * alone if many > 1 else None, f"{rate / alone:.2f} × one node",
        )  # fmt: skip
    deadlocks = database.deadlocks()
    yield Line("deadlocks meanwhile", "0", str(deadlocks), met=deadlocks == 0)
    for server in servers:
        server.stop()


def shared(servers: list[Server], options: Options, database: Database) -> Point:
    """Each node gets its share of the chains, another one each time, so that chains wander."""
    everything = [token for server in servers for token in _taken(server)]
    loads = []
    for number, server in enumerate(servers):
        file = server.folder / f"share-{number}"
        file.write_text("\n".join(everything[(number + 1) % len(servers) :: len(servers)]) + "\n")
        loads.append(Load("rotate", server.token_url, (str(file),), 64 // len(servers)))
        server.tokens = str(file)
    pids = [pid for server in servers for pid in server.pids()]
    return run((*pids, *database.pids()), loads, options.seconds)


def _taken(server: Server) -> list[str]:
    """The tokens this node was given last, or those that were seeded; each is taken once."""
    with open(server.tokens, "r+") as file:
        tokens = file.read().split()
        file.truncate(0)
    return tokens


def client_credentials(options: Options) -> Iterator[Line]:
    server = Server(families=options.chains)
    load = Load("post", server.token_url, ("grant_type=client_credentials", '"access_token"'))
    yield line("client_credentials, JWT ES256", Bar(8_000, 3.2), options, _asking(server, lambda: load, options))
    server.stop()


def code(options: Options) -> Iterator[Line]:
    """Sign-in and consent are past: codes as the authorization endpoint seals them, each redeemed once."""
    server = Server(families=options.chains)
    ours = _asking(server, _codes(server, options), options)
    yield line("authorization code + PKCE exchange", Bar(4_000, 1.6), options, ours)
    server.stop()


def introspection(options: Options) -> Iterator[Line]:
    server = Server(families=options.chains)
    many = int(TOKENS_A_SECOND * options.seconds)

    def fresh() -> Load:
        return _introspecting(server, server.tell(f"access {many}")["file"])

    yield line("introspection, token seen before", Bar(15_000), options, _asking(server, _seen(server), options))
    yield line("introspection, first sight", Bar(5_000), options, _asking(server, fresh, options))
    server.stop()


def documents(options: Options) -> Iterator[Line]:
    server = Server(families=options.chains)
    wanted = (
        ("JWKS", "/.well-known/jwks.json", '"keys"'),
        ("discovery", "/.well-known/openid-configuration", "issuer"),
    )
    for name, path, content in wanted:
        load = Load("get", server.url + path, (content,), basic=False)
        yield line(name, Bar(20_000), options, _asking(server, lambda load=load: load, options))  # type: ignore[misc]
    server.stop()


def _codes(server: Server, options: Options) -> IntoLoad:
    many = int(CODES_A_SECOND * options.seconds)
    return lambda: Load("list", server.token_url, (server.tell(f"codes {many}")["file"], '"refresh_token"'))


def _seen(server: Server) -> IntoLoad:
    file = server.tell(f"access {SEEN}")["file"]
    return lambda: _introspecting(server, file, again=True)


def _introspecting(server: Server, file: str, *, again: bool = False) -> Load:
    return Load("list", f"{server.url}/oauth/introspect", (file, '"active":true'), again=again)


def _asking(server: Server, load: IntoLoad, options: Options, database: Database | None = None) -> Callable[[], Point]:
    """What is asked is made before the clock starts."""
    pids = database.pids if database else tuple
    return lambda: run((*server.pids(), *pids()), [load()], options.seconds)
