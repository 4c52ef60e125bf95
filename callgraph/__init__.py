"""The vocabulary that the three programs share: records, codec, topics, settings, errors, metrics, telemetry.

Nothing here knows the programs; they meet only through these words and Kafka.
"""
