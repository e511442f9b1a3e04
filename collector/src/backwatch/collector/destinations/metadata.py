"""Names and addresses of the clouds' metadata services, which hand out a machine's credentials."""

from typing import Final

METADATA_ADDRESSES: Final = (
    "169.254.169.254",  # AWS, Google, Azure, Oracle, DigitalOcean, Hetzner, OpenStack, IBM, Vultr, Linode, Yandex …
    "169.254.169.253",  # AWS: the resolver
    "169.254.170.2",  # AWS ECS: credentials of a task
    "169.254.170.23",  # AWS EKS: credentials of a pod
    "fd00:ec2::254",  # AWS over IPv6
    "fd00:ec2::253",
    "fd00:ec2::23",  # AWS EKS over IPv6
    "fd20:ce::254",  # Google over IPv6
    "168.63.129.16",  # Azure: the wire server, with certificates and extensions
    "100.100.100.200",  # Alibaba
    "192.0.0.192",  # Oracle, classic
    "fd00:c1::a9fe:a9fe",  # Oracle over IPv6
    "169.254.0.23",  # Tencent
    "169.254.42.42",  # Scaleway
    "fd00:42::42",  # Scaleway over IPv6
    "169.254.169.250",  # Rancher
    "fd00:a9fe:a9fe::1",  # Linode over IPv6
    "fe80::a9fe:a9fe",  # OpenStack over IPv6
)
METADATA_NAMES: Final = frozenset((
    "metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal",
    "metadata.azure.internal", "metadata.azure.com", "metadata.ec2.internal", "metadata.tencentyun.com",
    "rancher-metadata", "rancher-metadata.rancher.internal", "metadata.packet.net", "metadata.platformequinix.com",
    "api.metadata.cloud.ibm.com",
))  # fmt: skip
