package server

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// An AWSConfig is what a gate of AWS reaches, and how.
type AWSConfig struct {
	Credential      Secret            `yaml:"credential" doc:"The real key as a document of credential_process (Version, AccessKeyId, SecretAccessKey, SessionToken, Expiration). A command is run again before it expires, for example: [aws, configure, export-credentials, --format, process]."`
	AccessKeyID     string            `yaml:"access_key_id" doc:"Instead of credential: id of the real key."`
	SecretAccessKey Secret            `yaml:"secret_access_key" doc:"Its secret; agents never see it."`
	Regions         []string          `yaml:"regions" doc:"Regions that agents may ask for. None: any."`
	Services        []string          `yaml:"services" doc:"Services that agents may ask for, by the name that requests are signed for: s3, ec2, states, … None: any."`
	Endpoints       map[string]string `yaml:"endpoints" doc:"Where services are, by that name, or by * for all others: https, or http on loopback. Unset: where AWS has them. For private clouds, and what is compatible with S3."`
	CA              string            `yaml:"ca" doc:"Certificate authorities that may sign the endpoints' certificates (PEM). Unset: the system's."`
	Mints           bool              `yaml:"mints" doc:"Agents may get the credentials that answers hold (AssumeRole, CreateAccessKey, …), once such a request was permitted. Unset: they are taken out."`
	S3              AWSS3Config       `yaml:"s3" doc:"S3 alone."`
}

// An AWSS3Config is how S3 is reached through a gate of AWS.
type AWSS3Config struct {
	Hosts   []string          `yaml:"hosts" doc:"Names of the gate below which buckets have names of their own: s3.gate.example for BUCKET.s3.gate.example."`
	Virtual bool              `yaml:"virtual" doc:"The endpoint wants a bucket in the host name, not in the path. Always so at AWS."`
	Opaque  bool              `yaml:"opaque" doc:"Objects that can't be looked into may be read although they can't be masked."`
	Buckets []AWSBucketConfig `yaml:"buckets" doc:"Whose buckets are whose. What is written to a bucket on no list is an export."`
}

// An AWSBucketConfig says whose a bucket is.
type AWSBucketConfig struct {
	Name   string `yaml:"name" doc:"Name, or pattern with * at its end."`
	Trust  string `yaml:"trust" doc:"internal: writing there is data.write. external: it is data.export as well."`
	Opaque bool   `yaml:"opaque" doc:"Its objects that can't be looked into may be read."`
}

var awsName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,60}[a-z0-9])?$`)

func (k *checker) awsGate(at string, g *GateConfig) {
	k.noActors(at, g)
	if g.AWS == nil {
		k.fail(at+".aws", "is missing", "say which key requests go on with: aws: { credential: … }")
		return
	}
	a, at := g.AWS, at+".aws"
	switch n := a.Credential.sources(); {
	case a.AccessKeyID != "":
		if n > 0 {
			k.fail(at+".credential", "stands beside access_key_id", "give one of them")
		}
		if n := a.SecretAccessKey.sources(); n != 1 {
			k.fail(at+".secret_access_key", fmt.Sprintf("names %d sources", n), "give one of file, env or command")
		}
	case n != 1:
		k.fail(at+".credential", fmt.Sprintf("names %d sources", n), "give one of file, env or command, or access_key_id and secret_access_key")
	case a.SecretAccessKey.sources() > 0:
		k.fail(at+".secret_access_key", "has no access_key_id", "add it")
	}
	for _, service := range slices.Sorted(maps.Keys(a.Endpoints)) {
		u, err := url.Parse(a.Endpoints[service])
		switch {
		case service != "*" && !awsName.MatchString(service):
			k.fail(at+".endpoints", fmt.Sprintf("%q is no service", service), "use the name that requests are signed for, such as s3, or *")
		case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || strings.Trim(u.Path, "/") != "" || u.Scheme != "https" && u.Scheme != "http":
			k.fail(at+".endpoints."+service, "is not an address", "for example https://minio.example.com:9000")
		case u.Scheme == "http" && !isLoopback(u.Hostname()):
			k.fail(at+".endpoints."+service, "is not encrypted", "use https")
		}
	}
	for i, name := range append(slices.Clone(a.Regions), a.Services...) {
		if !awsName.MatchString(name) {
			k.fail(at, fmt.Sprintf("%q (item %d of regions and services) is no name of one", name, i+1), "for example eu-central-1, or s3")
		}
	}
	for i, b := range a.S3.Buckets {
		if b.Name == "" || b.Trust != "internal" && b.Trust != "external" {
			k.fail(fmt.Sprintf("%s.s3.buckets[%d]", at, i), "needs a name, and trust: internal or external", "for example { name: acme-reports, trust: internal }")
		}
	}
}
