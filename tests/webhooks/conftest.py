import pytest

from tests.fixtures import detent, keys_folder
from tests.serving import Detent
from tests.webhooks.receiver import Post, Receiver

__all__ = ["detent", "keys_folder"]


@pytest.fixture
def post(detent: Detent) -> Post:
    return Post(detent)


@pytest.fixture
def receiver(post: Post) -> Receiver:
    return post.serve(Receiver())
