"""The pytest plugin: records an app's calls while its tests run, and judges them in memory."""
