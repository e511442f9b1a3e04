"""Elasticsearch and OpenSearch: requests and responses."""
