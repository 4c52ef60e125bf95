"""Properties hold or they do not: how long one example took says how busy the machine was, so it is not judged."""

from hypothesis import settings

settings.register_profile("whocalls", deadline=None)
settings.load_profile("whocalls")
