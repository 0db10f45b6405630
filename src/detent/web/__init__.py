"""The HTTP edge: from bytes and headers to `Request`, and from `Response` back.

Owns: forms parsed once, answers and error bodies and how fast refusals leave, bearer tokens in requests, CORS headers,
connections and what they may hold, the ASGI door.
Leaves: what an endpoint does to endpoints/, HTTP parsing itself to the server that runs us.
"""
