"""Observations to calls to edges, against an inventory of who had which address when."""
