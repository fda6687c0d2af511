"""The published Python client (PyPI: crownest 0.1.1), unmodified, against this API: projects, keys, usage, artifacts.

Environment: CROWNEST_API_URL, CROWNEST_API_KEY; SANDBOX and ARTIFACT of a run that has ended; KEYS, three API keys that
may be revoked, with commas between them.
"""

import asyncio
import os
from importlib.metadata import version

from crownest import AsyncCrowNest, CrowNest, CrowNestApiError

URL, KEY = os.environ["CROWNEST_API_URL"], os.environ["CROWNEST_API_KEY"]
SANDBOX, ARTIFACT = os.environ["SANDBOX"], os.environ["ARTIFACT"]
FOR_SYNC, FOR_ASYNC, FOR_NOTHING = os.environ["KEYS"].split(",")


def refused(status, code, call):
    try:
        call()
    except CrowNestApiError as error:
        assert (error.status, error.code) == (status, code), (error.status, error.code)
    else:
        raise AssertionError(f"expected {code}")


def synchronous():
    with CrowNest(api_key=KEY, base_url=URL) as client:
        made = client.projects.create(name="from python")
        assert made["name"] == "from python" and made["id"].startswith("prj_")
        assert made in client.projects.list()
        assert FOR_SYNC in [key["id"] for key in client.api_keys.list()]
        assert "revokedAt" not in client.api_keys.get(FOR_SYNC)
        assert client.api_keys.revoke(FOR_SYNC)["revokedAt"]
        usage = client.usage()
        assert usage["computeUnitSeconds"]["used"] >= 0 and usage["period"]["start"]

        artifact = client.artifacts.get(ARTIFACT)
        assert artifact["sandboxId"] == SANDBOX and artifact["sizeBytes"] == 6
        assert client.artifacts.list(SANDBOX) == [artifact]
        assert client.artifacts.download(ARTIFACT) == b"hello\n"
        url = client.artifacts.download_url(ARTIFACT)
        assert url["method"] == "GET" and url["authMode"] == "api_key" and ARTIFACT in url["url"]
        refused(404, "not_found", lambda: client.artifacts.get("art_none"))
        refused(404, "not_found", lambda: client.artifacts.list("sbx_none"))
        refused(400, "invalid_request", lambda: client.projects.create(name=""))
    with CrowNest(api_key="cn_live_wrong", base_url=URL) as stranger:
        refused(401, "invalid_api_key", stranger.projects.list)


async def asynchronous():
    async with AsyncCrowNest(api_key=KEY, base_url=URL) as client:
        made = await client.projects.create(name="from async python")
        assert made in await client.projects.list()
        assert FOR_ASYNC in [key["id"] for key in await client.api_keys.list()]
        assert (await client.api_keys.get(FOR_NOTHING))["id"] == FOR_NOTHING
        assert (await client.api_keys.revoke(FOR_ASYNC))["revokedAt"]
        assert (await client.usage())["credits"]["used"] >= 0
        artifact = await client.artifacts.get(ARTIFACT)
        assert await client.artifacts.list(SANDBOX) == [artifact]
        assert await client.artifacts.download(ARTIFACT) == b"hello\n"
        assert (await client.artifacts.download_url(ARTIFACT))["method"] == "GET"
        assert (await client.artifacts.delete(ARTIFACT))["deletedAt"]
        try:
            await client.artifacts.download(ARTIFACT)
        except CrowNestApiError as error:
            assert error.code == "not_found"
        else:
            raise AssertionError("a deleted artifact is gone")


assert version("crownest") == "0.1.1"
synchronous()
asyncio.run(asynchronous())
print("ok")
