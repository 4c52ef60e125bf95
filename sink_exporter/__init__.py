"""Edges to the call graph to files that people and tools read."""
