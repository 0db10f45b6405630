"""What can and cannot happen to one refresh-token family: every interleaving of any length, with the real `decide`.

Owns: a row abstracted to what `decide` compares (`row`), the owner, the thief, the network and time around it
(`world`), a store that is rolled back (`failover`), and the search that answers questions about them (`search`).
Leaves: the rules to core/family.py and the conclusions to docs/family.md, whose figures it prints:
`python -m detent.testing.family_model`.
"""
