"""What boto3 does with S3 every day, through the gate. Prints nothing where all went well."""
import hashlib
import os
import ssl
import sys
import urllib.request

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

endpoint = sys.argv[1]
s3 = boto3.client("s3", endpoint_url=endpoint, region_name="eu-west-1", config=Config(signature_version="s3v4", retries={"max_attempts": 1}, s3={"addressing_style": "path"}))


def same(a, b, what):
    if a != b:
        sys.exit(f"{what}: {str(a)[:200]} is not {str(b)[:200]}")


data = os.urandom(9 << 20)
small = b"hello \xe2\x82\xac"
for key in ["plain", "with space", "a+b", "sl/ash//twice", "per%25cent", "ünï", "q?x=1&y#z", "dots...", "~tilde'(quote)*!"]:
    s3.put_object(Bucket="house", Key=key, Body=small, Metadata={"note": "two words", "other-note": "x"}, ContentType="text/plain")
    got = s3.get_object(Bucket="house", Key=key)
    same(got["Body"].read(), small, key)
    same(got["Metadata"], {"note": "two words", "other-note": "x"}, key + " metadata")
    same(got["ContentType"], "text/plain", key + " type")
    same(s3.head_object(Bucket="house", Key=key)["ContentLength"], len(small), key + " length")
for algorithm in ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"]:
    s3.put_object(Bucket="house", Key="sum-" + algorithm, Body=small, ChecksumAlgorithm=algorithm)
names = [o["Key"] for o in s3.list_objects_v2(Bucket="house")["Contents"]]
for key in ["plain", "with space", "a+b", "ünï"]:
    if key not in names:
        sys.exit(f"{key} is not among {names}")

config = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20, max_concurrency=3)
with open(sys.argv[2], "wb") as f:
    f.write(data)
s3.upload_file(sys.argv[2], "house", "big", Config=config)
s3.download_file("house", "big", sys.argv[2] + ".back", Config=config)
with open(sys.argv[2] + ".back", "rb") as f:
    same(hashlib.sha256(f.read()).hexdigest(), hashlib.sha256(data).hexdigest(), "big")
same(s3.get_object(Bucket="house", Key="big", Range="bytes=100-299")["Body"].read(), data[100:300], "a range")

s3.copy_object(Bucket="house", Key="copy of", CopySource={"Bucket": "house", "Key": "with space"})
same(s3.get_object(Bucket="house", Key="copy of")["Body"].read(), small, "a copy")
deleted = s3.delete_objects(Bucket="house", Delete={"Objects": [{"Key": "a+b"}, {"Key": "per%25cent"}]})
same(sorted(d["Key"] for d in deleted["Deleted"]), ["a+b", "per%25cent"], "deleted")

context = ssl.create_default_context(cafile=os.environ["AWS_CA_BUNDLE"]) if endpoint.startswith("https") else None
url = s3.generate_presigned_url("put_object", Params={"Bucket": "house", "Key": "pre signed"}, ExpiresIn=60)
urllib.request.urlopen(urllib.request.Request(url, data=small, method="PUT", headers={"Content-Type": ""}), context=context).read()
url = s3.generate_presigned_url("get_object", Params={"Bucket": "house", "Key": "pre signed"}, ExpiresIn=60)
same(urllib.request.urlopen(url, context=context).read(), small, "presigned")

try:
    s3.put_object(Bucket="partner", Key="denied", Body=small)
    sys.exit("an export was not denied")
except ClientError as e:
    same(e.response["Error"]["Code"], "AccessDenied", "the code of a denial")
    same(e.response["ResponseMetadata"]["RetryAttempts"], 0, "tries after a denial")
    if "not to partners" not in str(e):
        sys.exit(f"the denial says {e}")
