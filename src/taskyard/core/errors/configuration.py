"""What is wrong with a deployment's settings, routing, schema or topology."""

from taskyard.core.errors.base import Misconfigured


class InvalidSettings(Misconfigured):
    """One or more TASKYARD_… settings are missing or have values they may not have."""

    code = "invalid-settings"
    title = "The settings are not valid"


class InvalidRouting(Misconfigured):
    """One or more entries of the routing folder are at fault."""

    code = "invalid-routing"
    title = "The routing table is not valid"


class InvalidIssuers(Misconfigured):
    """One or more entries of the file that TASKYARD_ISSUERS names are at fault."""

    code = "invalid-issuers"
    title = "The issuers are not valid"


class SchemaOutdated(Misconfigured):
    """The database schema is not the one this version needs: run `taskyard migrate`."""

    code = "schema-outdated"
    title = "The database schema is outdated"


class TopologyMissing(Misconfigured):
    """An exchange or queue is missing in the broker: run `taskyard topology apply`."""

    code = "topology-missing"
    title = "The broker's topology is incomplete"
