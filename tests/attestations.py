"""Verifies a DSSE envelope (standard input) with securesystemslib, by the keys of a JWK set (first argument).

Prints the payload and exits with 0, or prints the fault and exits with 1."""

import base64
import json
import sys

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

keys = []
for jwk in json.loads(sys.argv[1])["keys"]:
    public = base64.urlsafe_b64decode(jwk["x"] + "=")
    keys.append(SSlibKey(jwk["kid"], "ed25519", "ed25519", {"public": public.hex()}))
envelope = Envelope.from_dict(json.load(sys.stdin))
try:
    envelope.verify(keys, threshold=1)
except VerificationError as error:
    sys.exit(f"not verified: {error}")
sys.stdout.buffer.write(envelope.payload)
