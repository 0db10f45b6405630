"""The pages for people: sign in, allow, sign out, my account, and what went wrong.

Owns: what each page shows and which buttons it has; their ids and names are public API (docs/pages.md). Every page is
server-rendered, works without JavaScript and carries no inline script or style.
Leaves: what comes next to endpoints/dispatch.py, who is signed in to identity/, headers and cookies to web/.
"""
