"""The only place that reads the environment, opens connections and joins the parts.

Each role imports what it needs when it starts: the dispatcher must not load Quart, nor the API
Celery.
"""

from taskyard.bootstrap.administration import (
    apply_topology,
    apply_users,
    check_agreement,
    check_live,
    migrate_database,
    plan_topology,
    plan_users,
)
from taskyard.bootstrap.api import asgi, open_api, serve_api
from taskyard.bootstrap.audit import audit_entries, verify_audit
from taskyard.bootstrap.doctor import examine
from taskyard.bootstrap.encryption import encryption_status, reencrypt
from taskyard.bootstrap.events import rehearse_rules, try_events
from taskyard.bootstrap.keys import create_key, first_key, list_keys, revoke_key, rotate_key
from taskyard.bootstrap.overview import ReadOverview, open_overview, read_chart
from taskyard.bootstrap.process import run_until_signal
from taskyard.bootstrap.roles import run_dispatcher, run_ingest, run_worker
from taskyard.bootstrap.sessions import end_sessions, list_sessions
from taskyard.bootstrap.surroundings import (
    ADMIN_KEY,
    KEY_PEPPER,
    SESSION_KEY,
    api_key,
    child_environment,
    routing,
    secret_file,
    settings,
    stack_settings,
)
from taskyard.bootstrap.tenants import list_tenants, set_tenant

__all__ = [
    "ADMIN_KEY",
    "KEY_PEPPER",
    "SESSION_KEY",
    "ReadOverview",
    "api_key",
    "apply_topology",
    "apply_users",
    "asgi",
    "audit_entries",
    "check_agreement",
    "check_live",
    "child_environment",
    "create_key",
    "encryption_status",
    "end_sessions",
    "examine",
    "first_key",
    "list_keys",
    "list_sessions",
    "list_tenants",
    "migrate_database",
    "open_api",
    "open_overview",
    "plan_topology",
    "plan_users",
    "read_chart",
    "reencrypt",
    "rehearse_rules",
    "revoke_key",
    "rotate_key",
    "routing",
    "run_dispatcher",
    "run_ingest",
    "run_until_signal",
    "run_worker",
    "secret_file",
    "serve_api",
    "set_tenant",
    "settings",
    "stack_settings",
    "try_events",
    "verify_audit",
]
