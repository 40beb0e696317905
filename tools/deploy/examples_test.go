package deploy

import (
	"os"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// TestTerraform: the example parses; running it takes Terraform (docs/install.md says who did).
func TestTerraform(t *testing.T) {
	text, err := os.ReadFile("../../examples/terraform/main.tf")
	if err != nil {
		t.Fatal(err)
	}
	if _, diags := hclsyntax.ParseConfig(text, "main.tf", hcl.InitialPos); diags.HasErrors() {
		t.Error(diags)
	}
	if _, diags := hclsyntax.ParseConfig(text[:len(text)-3], "main.tf", hcl.InitialPos); !diags.HasErrors() {
		t.Error("anything parses")
	}
}
