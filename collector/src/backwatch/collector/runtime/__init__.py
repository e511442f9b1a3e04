"""The path of a call in the app's process: record, queue, worker, encoder; forks, shutdown, and the guard."""
