# terraform apply asks Assent before it releases: whoever may review sees what is released, and apply goes on once they say yes.
#
#   export ASSENT=https://assent.example.com AGENT=ast_…      # the pipeline's own token
#   terraform init && terraform apply -var release=1.4.0 -var digest=sha256:…
terraform {
  required_version = ">= 1.4"
}

variable "release" {
  type        = string
  description = "Version that is released"
}

variable "digest" {
  type        = string
  description = "Digest of the image that is released"
  validation {
    condition     = can(regex("^sha256:[0-9a-f]{64}$", var.digest))
    error_message = "A digest is sha256: and 64 hexadecimal digits."
  }
}

variable "actor" {
  type    = string
  default = "pipeline:deployer"
}

locals {
  # Exactly this is approved; another release asks anew.
  asked = jsonencode({ service = "shop", release = var.release, digest = var.digest })
}

# Fails, and with it all that depends on it, unless people allow it. Nothing secret is in the state: the token is in the environment.
resource "terraform_data" "approved" {
  triggers_replace = local.asked

  provisioner "local-exec" {
    interpreter = ["/bin/sh", "-ec"]
    command     = <<-EOT
      file=$(mktemp); trap 'rm -f "$file"' EXIT
      printf %s "$ASKED" >"$file"
      python3 "$ASK" --actor "$ACTOR" --kind deploy --verb deploy --type service --resource service:shop --target shop --reason "release $RELEASE" "$file"
    EOT
    environment = {
      ASK     = "${path.module}/../pipeline/ask.py"
      ASKED   = local.asked
      ACTOR   = var.actor
      RELEASE = var.release
    }
  }
}

# Stands for what releases: a helm_release, an aws_ecs_service.
resource "terraform_data" "release" {
  input      = local.asked
  depends_on = [terraform_data.approved]
}

output "released" {
  value = terraform_data.release.output
}
