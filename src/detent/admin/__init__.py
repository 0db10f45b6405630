"""What an operator does to a running detent, without saying through which door.

Owns: registering clients and APIs, ending families and telling their story; each operation is one `Changes` with
its event. Leaves: reading arguments and printing to cli/ and to the admin API, people to identity/, what is allowed
to core/.
"""
