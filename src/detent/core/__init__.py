"""The rules, as values and pure functions.

Owns: clients, APIs, scopes, policies, the life of a refresh-token family, claims, events, errors, `Changes`.
Leaves: storage to stores/, wire format to tokens/, HTTP to web/ and endpoints/.
Rule: nothing here does I/O or reads a clock, randomness or the environment; all of it arrives as arguments.
"""
