"""What can be added to the house: the closed list of extension points, and the registry that joins what is added.

Owns: the protocols and values of every point, `Feature` as their sum, the rule that no two own one name.
Leaves: what is added to features/, strategies/, client_auth/, grants/ and the like; what is on to app.py, whose list of
features is that: present means on.
"""
