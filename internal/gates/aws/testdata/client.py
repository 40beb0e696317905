# Makes the calls that its arguments name ("SERVICE METHOD JSON") with boto3, and prints what came of each.
import json
import sys

import boto3
import botocore.config
import botocore.exceptions

session = boto3.session.Session()
config = botocore.config.Config(retries={"mode": "standard", "max_attempts": 4}, read_timeout=30, inject_host_prefix=False)
for call in sys.argv[1:]:
    service, method, args = call.split(" ", 2)
    said = {"Call": call, "Code": "", "Message": "", "Status": 0, "Tries": 0, "Reply": {}}
    try:
        reply = getattr(session.client(service, config=config), method)(**json.loads(args))
        meta = reply.pop("ResponseMetadata")
        said["Reply"] = json.loads(json.dumps(reply, default=str))
    except botocore.exceptions.ClientError as e:
        meta = e.response["ResponseMetadata"]
        said["Code"], said["Message"] = e.response["Error"]["Code"], e.response["Error"]["Message"]
    except botocore.exceptions.BotoCoreError as e:
        meta = {"HTTPStatusCode": 0, "RetryAttempts": 0}
        said["Code"], said["Message"] = type(e).__name__, str(e)
    said["Status"], said["Tries"] = meta["HTTPStatusCode"], meta.get("RetryAttempts", 0)
    print(json.dumps(said))
