#!/bin/sh
# Runs once, on an empty data directory: Backwatch gets a role that owns its database and may do nothing else.
set -eu
psql --quiet --set ON_ERROR_STOP=1 --username postgres --set password="$STORE_PASSWORD" <<'SQL'
create role backwatch login password :'password' nosuperuser nocreatedb nocreaterole;
create database backwatch owner backwatch;
revoke all on database backwatch from public;
SQL
