"""The MySQL protocol: connection state, observer and hooks that its three drivers share."""
