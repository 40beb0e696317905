"""Signs the requests that standard input lists, one JSON object a line, with botocore."""
import datetime
import json
import sys

import botocore.auth
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


def clock(at):
    when = datetime.datetime.strptime(at, "%Y%m%dT%H%M%SZ")
    if hasattr(botocore.auth, "get_current_datetime"):
        botocore.auth.get_current_datetime = lambda remove_tzinfo=True: when

    class Fixed(datetime.datetime):
        @classmethod
        def utcnow(cls):
            return when

        @classmethod
        def now(cls, tz=None):
            return when

    module = type(sys)("datetime")
    module.datetime = Fixed
    module.timezone = datetime.timezone
    botocore.auth.datetime = module


for line in sys.stdin:
    c = json.loads(line)
    clock(c["Time"])
    kind = {(True, False): S3SigV4Auth, (False, False): SigV4Auth, (True, True): S3SigV4QueryAuth, (False, True): SigV4QueryAuth}
    signer = kind[(c["Service"] == "s3", c["Presign"])](Credentials(c["ID"], c["Secret"], c["Token"] or None), c["Service"], c["Region"])
    r = AWSRequest(method=c["Method"], url=c["URL"], headers=c["Header"] or {}, data=c["Body"].encode())
    signer.add_auth(r)
    p = r.prepare()
    print(json.dumps({"URL": p.url, "Header": {k: v.decode() if isinstance(v, bytes) else str(v) for k, v in p.headers.items()}}))
