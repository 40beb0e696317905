package server

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/audit/bucket"
)

// AuditConfig says how the audit log is shown and signed.
type AuditConfig struct {
	Public    bool            `yaml:"public" doc:"Checkpoint and hash tiles at /log/ take no credential, so that anybody can watch that the log only grows. Records always take one." default:"false"`
	Witnesses []WitnessConfig `yaml:"witnesses" doc:"Who cosigns the log's checkpoints, so that an old database put back is found out (docs/witness.md)."`
	Require   int             `yaml:"require" doc:"How many witnesses must have cosigned lately; with fewer, no action is let through. 0: their absence is told and stops nothing." default:"0"`
	Lag       time.Duration   `yaml:"lag" doc:"How long ago lately may be." default:"5m"`
	Every     time.Duration   `yaml:"every" doc:"How often the newest checkpoint is sent to witnesses." default:"5s"`
	Signer    *SignerConfig   `yaml:"signer" doc:"A program that holds the log's key elsewhere (docs/audit-log.md). None: the key is log.key in the key directory."`
	Heartbeat time.Duration   `yaml:"heartbeat" doc:"How often each node writes a record that it is there, so that silence shows." default:"1m"`
	Archive   string          `yaml:"archive" doc:"Directory, or s3://BUCKET/PREFIX, that closed segments of harmless traffic move to, so that the spool has room again (docs/retention.md); nodes may share it. Without one they stay in the spool until limits.spool_bytes stops reads."`
	Retention time.Duration   `yaml:"retention" doc:"How long archived traffic is kept, from the record of its seal on; 24h or more. Then it is deleted, and the log says so. Unset: for ever. Everything else in the log stays."`
	S3        *S3Config       `yaml:"s3" doc:"How the bucket that archive names is reached, and how objects in it are locked."`
}

// S3Config is about a bucket. Its credentials are those of the environment, the shared files or the machine.
type S3Config struct {
	Endpoint  string        `yaml:"endpoint" doc:"https://HOST[:PORT] of S3-compatible storage. Unset: Amazon's."`
	Region    string        `yaml:"region" doc:"Its region. Unset: AWS_REGION, or what the storage says."`
	Lock      string        `yaml:"lock" doc:"Object lock for each segment: governance or compliance. The bucket must have it; it is read back. Unset: what the bucket does by itself."`
	Keep      time.Duration `yaml:"keep" doc:"How long each segment is locked, from its arrival. Goes with lock."`
	LegalHold bool          `yaml:"legal_hold" doc:"Set a legal hold on each segment. It ends when somebody takes it off in the bucket." default:"false"`
}

// SignerConfig names a program that signs checkpoints.
type SignerConfig struct {
	Key     string   `yaml:"key" doc:"Public key of the log, a vkey. Its name must be the log's origin: the host of public_url and /assent/log."`
	Command []string `yaml:"command" doc:"The program and its arguments. It is started once, and answers each line of base64 on its input with the Ed25519 signature of it, in base64, on its output."`
}

// A WitnessConfig is one witness.
type WitnessConfig struct {
	Key string `yaml:"key" doc:"Its public key, as it prints it at its start: a vkey of type 4 (C2SP tlog-cosignature, Ed25519)."`
	URL string `yaml:"url" doc:"Its submission prefix: checkpoints go to URL/add-checkpoint."`
}

func (c *AuditConfig) fill() {
	if c.Lag == 0 {
		c.Lag = 5 * time.Minute
	}
	if c.Every == 0 {
		c.Every = 5 * time.Second
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = time.Minute
	}
}

// witnessKeys are the keys that the configuration names.
func (c *AuditConfig) witnessKeys() []string {
	var out []string
	for _, w := range c.Witnesses {
		out = append(out, w.Key)
	}
	return out
}

func (k *checker) audit(c *AuditConfig) {
	names := map[string]bool{}
	for i, w := range c.Witnesses {
		at := fmt.Sprintf("$.audit.witnesses[%d]", i)
		name, err := evidence.CheckWitness(w.Key)
		switch {
		case err != nil:
			k.fail(at+".key", "not the key of a witness", "write what the witness prints at its start: name+id+key")
		case names[name]:
			k.fail(at+".key", fmt.Sprintf("a second witness called %q", name), "give each a name of its own")
		}
		names[name] = true
		if u, err := url.Parse(w.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			k.fail(at+".url", "not an http or https URL", "for example https://witness.example.com/assent")
		}
	}
	if c.Require < 0 || c.Require > len(c.Witnesses) {
		k.fail("$.audit.require", fmt.Sprintf("%d of %d witnesses", c.Require, len(c.Witnesses)), "require as many as there are at most")
	}
	if c.Lag < time.Second || c.Lag < c.Every {
		k.fail("$.audit.lag", "shorter than a round of asking", "write how long, such as 5m")
	}
	if c.Every < 100*time.Millisecond {
		k.fail("$.audit.every", "less than 100ms", "write how often, such as 5s")
	}
	if g := c.Signer; g != nil {
		if _, _, err := audit.ExternalKey(g.Key, g.Command...); err != nil {
			k.fail("$.audit.signer", "no key of a log, or no command", "write the log's vkey (name+id+key) and the program")
		}
	}
	k.archive(c)
	if c.Heartbeat < time.Second {
		k.fail("$.audit.heartbeat", "less than a second", "write how often, such as 1m")
	}
}

// archive checks where traffic is kept.
func (k *checker) archive(c *AuditConfig) {
	remote := strings.HasPrefix(c.Archive, bucket.Scheme)
	if remote {
		if _, _, err := bucket.Parse(c.Archive); err != nil {
			k.fail("$.audit.archive", err.Error(), "for example s3://my-bucket/assent")
		}
	}
	if c.Retention != 0 && (c.Retention < audit.MinTerm || c.Archive == "") {
		k.fail("$.audit.retention", "shorter than a day, or of traffic that goes to no archive", "write how long, such as 9600h, and name audit.archive")
	}
	g := c.S3
	if g == nil {
		return
	}
	if !remote {
		k.fail("$.audit.s3", "is about a bucket, and archive names none", "write archive: s3://BUCKET/PREFIX, or take s3 out")
	}
	if err := bucket.CheckEndpoint(g.Endpoint); err != nil {
		k.fail("$.audit.s3.endpoint", err.Error(), "for example https://minio.example.com:9000; credentials come from the environment")
	}
	if g.Lock != "" && g.Lock != "governance" && g.Lock != "compliance" {
		k.fail("$.audit.s3.lock", fmt.Sprintf("%q is no mode of object lock", g.Lock), "write governance or compliance")
	}
	if (g.Lock != "") != (g.Keep > 0) || g.Keep < 0 {
		k.fail("$.audit.s3.keep", "goes with lock, and is more than nothing", "write how long a segment is locked, such as 9600h")
	}
}
