"""Where durable state lives: every store implements the ports `Store` and `Directory`, and passes one suite.

Owns: SQL, schema, how a commit is shared. Leaves: what a change means to core/, when to retry to its callers.
`sql` is the SQL text, `rows` turns values into rows and back, `statements` turns `Changes` into SQL; a file per
backend follows. Rule: a write is acknowledged when it is durable, never before.
"""
