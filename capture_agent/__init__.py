"""Bytes on a node to observations on Kafka: DNS answers, TCP SYNs and the sockets that were open before we came."""
