"""Blocking clients of the transports that policies are reached by, one file each: nothing of a protocol is known here."""
