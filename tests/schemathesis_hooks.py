"""Facts that schemathesis cannot know: an archive is bytes, the headers of a direct upload describe these bytes, and one
run has ended and left an artifact."""

import hashlib
import os
import re

import schemathesis


def to_bytes(value):
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


@schemathesis.serializer("application/gzip")
def archive(_, value):
    return to_bytes(value)


EXISTING = {
    "/v1/artifacts/{id}": "CROWNEST_ARTIFACT",
    "/v1/artifacts/{id}/download-url": "CROWNEST_ARTIFACT",
    "/v1/artifacts/{id}/download": "CROWNEST_ARTIFACT",
    "/v1/artifacts/{id}/tombstone": "CROWNEST_DELETED_ARTIFACT",
    "/v1/templates/{id}": "CROWNEST_TEMPLATE",
    "/v1/workspace-runs/{id}/events": "CROWNEST_RUN",
    "/v1/workspace-runs/{id}/evidence": "CROWNEST_RUN",
    "/v1/workspace-runs/{id}/attestations": "CROWNEST_RUN",
    "/v1/workspace-runs/{id}/evidence/inclusion": "CROWNEST_RUN",
    "/v1/workspace-runs/{id}/evidence/event-log/{part}": "CROWNEST_RUN",
}


@schemathesis.hook
def before_call(context, case, kwargs):
    existing = EXISTING.get(case.operation.path)
    if existing and case.method == "GET" and case.meta.generation.mode.is_positive:
        case.path_parameters["id"] = os.environ[existing]
    digest = case.headers.get("x-crownest-archive-sha256")
    if not isinstance(digest, str) or not re.fullmatch("[0-9A-Fa-f]{64}", digest):
        return  # this case tries a bad header
    body = to_bytes(case.body) if isinstance(case.body, (str, bytes)) else b""
    case.headers["x-crownest-archive-sha256"] = hashlib.sha256(body).hexdigest()
    if re.fullmatch("[1-9][0-9]*", str(case.headers.get("x-crownest-archive-size"))):
        case.headers["x-crownest-archive-size"] = str(len(body))
