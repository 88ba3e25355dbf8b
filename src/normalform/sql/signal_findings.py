"""The SQL of what an audit finds about the server: long transactions, replication slots, standbys.

Each statement returns one row for each offender and runs by hand, as any role. What a plain role may not see of others
shows as NULL, and is counted by a query of its own.
"""

from __future__ import annotations

from psycopg import sql

SQL = sql.SQL


def long_transactions(seconds: int) -> sql.Composable:
    """Transactions of this database that have been open for so many seconds, the oldest first."""
    return SQL(
        "SELECT a.pid, a.usename::text AS role, a.application_name AS application, a.state, "
        "extract(epoch FROM clock_timestamp() - a.xact_start)::integer AS seconds FROM pg_catalog.pg_stat_activity a "
        "WHERE a.datname = current_database() AND a.pid <> pg_catalog.pg_backend_pid() "
        "AND clock_timestamp() - a.xact_start >= make_interval(secs => {seconds}) "
        "UNION ALL SELECT NULL, p.owner::text, p.gid, 'prepared', "
        "extract(epoch FROM clock_timestamp() - p.prepared)::integer FROM pg_catalog.pg_prepared_xacts p "
        "WHERE p.database = current_database() AND clock_timestamp() - p.prepared >= make_interval(secs => {seconds}) "
        "ORDER BY 5 DESC, 1"
    ).format(seconds=sql.Literal(seconds))


def hidden_sessions() -> sql.Composable:
    """Other roles' sessions of this database whose transactions this role may not see."""
    return SQL(
        "SELECT a.pid, a.usename::text AS role FROM pg_catalog.pg_stat_activity a WHERE a.datname = current_database() "
        "AND a.backend_type IS NULL AND NOT pg_catalog.pg_has_role(current_user, a.usesysid, 'USAGE') "
        "AND NOT pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')"
    )


#: How far back a slot or standby reads, on a primary and on a standby.
_HEAD = SQL(
    "CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() "
    "ELSE pg_catalog.pg_current_wal_lsn() END"
)


def slots() -> sql.Composable:
    """Replication slots, with what makes each one dangerous; the worst first."""
    return SQL(
        "SELECT s.slot_name::text AS slot, s.slot_type, s.active, s.wal_status, "
        "pg_catalog.pg_wal_lsn_diff({head}, s.restart_lsn)::bigint AS bytes_behind "
        "FROM pg_catalog.pg_replication_slots s WHERE NOT s.temporary ORDER BY s.active, 5 DESC NULLS LAST, 1"
    ).format(head=_HEAD)


def standbys() -> sql.Composable:
    """Standbys and other readers of the WAL stream, the one farthest behind first."""
    return SQL(
        "SELECT r.application_name AS standby, r.state, r.sync_state, "
        "pg_catalog.pg_wal_lsn_diff({head}, r.replay_lsn)::bigint AS bytes_behind, "
        "extract(epoch FROM r.replay_lag)::integer AS seconds_behind FROM pg_catalog.pg_stat_replication r "
        "ORDER BY 4 DESC NULLS LAST, 1"
    ).format(head=_HEAD)
