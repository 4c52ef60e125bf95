"""The one command that a person types."""
