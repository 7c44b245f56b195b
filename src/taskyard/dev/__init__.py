"""Private servers and the supervisor behind `taskyard up`.

    with start_servers(Path(".taskyard"), vhosts=("one", "two")) as servers:
        servers.database_url, servers.amqp_url("one")

Nothing here touches a server of the system: own folders, own ports, loopback only.
"""

from taskyard.dev.servers import Servers, start_servers

__all__ = ["Servers", "start_servers"]
