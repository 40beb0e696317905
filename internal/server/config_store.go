package server

import (
	"path/filepath"
	"regexp"

	"github.com/assenthq/assent/internal/store/postgres"
)

// A StoreConfig names the PostgreSQL database that the replicas of a deployment share.
type StoreConfig struct {
	URL      string `yaml:"url" doc:"postgres://USER@HOST:PORT/DATABASE, with the parameters of a libpq URI. TLS is verify-full unless the host is this machine. No password."`
	Password Secret `yaml:"password" doc:"The database's password."`
	Schema   string `yaml:"schema" doc:"Schema of the tables." default:"assent"`
}

var nodeName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

func (k *checker) store(c *Config) {
	if c.Store == nil {
		if c.Node != "" {
			k.fail("$.node", "names a node of a deployment that has no store to share", "add store: with the url of a PostgreSQL database, or remove it")
		}
		return
	}
	if err := postgres.CheckURL(c.Store.URL); err != nil {
		k.fail("$.store.url", err.Error(), "for example postgres://assent@db.example.com/assent, and the password's source under store.password")
	}
	if c.Store.Password.sources() > 1 {
		k.fail("$.store.password", "names several sources", "give one of file, env or command")
	}
	if !regexp.MustCompile(`^[a-z][a-z0-9_]{0,40}$`).MatchString(c.Store.Schema) {
		k.fail("$.store.schema", "is no name for a schema", "use lower-case letters, digits and _")
	}
	switch {
	case !nodeName.MatchString(c.Node):
		k.fail("$.node", "is missing or is no name", "give each replica a name of its own: letters, digits, '.', '_' and '-', such as the machine's; ASSENT_NODE in the environment counts where the file names none")
	case c.Node == localNode:
		k.fail("$.node", "is the name of a deployment's only node", "choose another")
	}
}

// localNode is the node of a deployment in one data directory.
const localNode = "local"

func (c *Config) nodeName() string {
	if c.Node == "" {
		return localNode
	}
	return c.Node
}

// keysDir is where the deployment's secrets are: beside the data unless said otherwise.
func (c *Config) keysDir() string {
	if c.Keys != "" {
		return c.path(c.Keys)
	}
	return filepath.Join(c.path(c.Data), "keys")
}

func (c *Config) logKeyFile() string { return filepath.Join(c.keysDir(), "log.key") }
func (c *Config) sshKeyFile() string { return filepath.Join(c.keysDir(), "ssh_host_ed25519_key") }
func (c *Config) grantFile() string  { return filepath.Join(c.keysDir(), "grant.jwks") }
