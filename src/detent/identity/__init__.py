"""Who people are: their names, their passwords, their sessions, and how they are let in or cut off.

Owns: rules of usernames, hashing and checking passwords, how often one may guess, sessions and what their cookie
holds, remembered consent, every change to a `User` as one commit.
Leaves: rows and uniqueness to the store, tokens and their cut-off by epoch to grants/ and core/family, cookies and
HTML to web/ and pages/.
Rule: an unknown, disabled or passwordless person and a wrong password are told apart by no answer and no time.
"""
