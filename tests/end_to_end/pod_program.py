"""What runs in a pod of the lab: listens, resolves names with the C library, connects. Run as a script; stdlib only.

In: one JSON order a line on stdin. Out: one JSON answer a line on stdout, after the order has been carried out.
"""

import contextlib
import json
import socket
import sys
import threading

KEPT = []


def listen(port):
    """Accept connections on every address, and echo what comes until the other side closes."""
    server = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
    threading.Thread(target=accept, args=(server,), daemon=True).start()
    return {}


def accept(server):
    while True:
        connection, _ = server.accept()
        threading.Thread(target=echo, args=(connection,), daemon=True).start()


def echo(connection):
    with connection, contextlib.suppress(ConnectionError):
        while data := connection.recv(1024):
            connection.sendall(data)


def resolve(name):
    """Ask as every program does: A and AAAA, through the search path of /etc/resolv.conf."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return {"error": str(error)}
    return {"addresses": sorted({address[0] for *_, address in found})}


def call(name, port, keep, seconds=10):
    """Resolve, connect within so many seconds, and see a byte come back; keep the connection open or close it."""
    connection = socket.create_connection((name, port), timeout=seconds)
    connection.sendall(b"?")
    assert connection.recv(1) == b"?"
    if keep:
        KEPT.append(connection)
    else:
        connection.close()
    return {}


def send_datagram(source_port, address, port, payload):
    """Send one UDP datagram; the payload is hexadecimal."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(("", source_port))
        sender.sendto(bytes.fromhex(payload), (address, port))
    return {}


ORDERS = {"listen": listen, "resolve": resolve, "call": call, "send_datagram": send_datagram}

if __name__ == "__main__":
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer = ORDERS[order.pop("do")](**order)
        except OSError as error:
            answer = {"error": str(error)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
