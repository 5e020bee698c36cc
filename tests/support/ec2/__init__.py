"""An imitation of EC2: moto holds the API, each instance is a machine of namespaces with a real sshd."""

from tests.support.ec2.cloud import REGION, Cloud
from tests.support.ec2.instance import Instance
from tests.support.ec2.laptop import CloudLaptop

__all__ = ["REGION", "Cloud", "CloudLaptop", "Instance"]
