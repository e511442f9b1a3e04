"""Facts about the app, from the OTLP resource."""

from typing import Final

from backwatch.collector import names
from backwatch.collector.facts.fact import Fact

FACTS: Final = (
    Fact(
        name=names.SERVICE_NAME, type="text", scope="app", kind="app", domain="resource", order=410,
        label="App", meaning="The app's name.", example="shop",
    ),
    Fact(
        name=names.SERVICE_NAMESPACE, type="text", scope="app", kind="app", domain="resource", order=400,
        label="App namespace", meaning="The app's namespace.", example="retail",
    ),
    Fact(
        name=names.ENVIRONMENT, type="text", scope="app", kind="app", domain="resource", order=420,
        older=("deployment.environment",),
        label="Environment", meaning="The app's environment: production, staging.", example="production",
    ),
    Fact(
        name=names.SERVICE_RELEASE, type="text", scope="app", kind="app", domain="session",
        older=("vcs.ref.head.revision", "container.image.id", "k8s.replicaset.name"),
        label="App release", meaning="The app's release; where it names none, that of its platform.",
        example="2026.11.3",
    ),
)  # fmt: skip
