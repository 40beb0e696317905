{{- define "assent.name" -}}
{{- if contains "assent" .Release.Name }}{{ .Release.Name | trunc 48 | trimSuffix "-" }}{{ else }}{{ printf "%s-assent" .Release.Name | trunc 48 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "assent.selector" -}}
app.kubernetes.io/name: assent
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "assent.labels" -}}
{{ include "assent.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end }}

{{- /* What can't work is refused before anything is installed. */}}
{{- define "assent.check" -}}
{{- if and (gt (int .Values.replicas) 1) (not .Values.store.url) }}
{{- fail "replicas: more than one needs a database that they share: set store.url, store.passwordSecret.name and keysSecret" }}
{{- end }}
{{- if and .Values.store.url (not .Values.keysSecret) }}
{{- fail "keysSecret: replicas that share a database share their keys: make them with assent keys make, and name the Secret that holds them" }}
{{- end }}
{{- if and .Values.store.url (not .Values.store.passwordSecret.name) }}
{{- fail "store.passwordSecret.name: name the Secret that holds the database's password" }}
{{- end }}
{{- if and .Values.store.url (or (not (regexMatch "^postgres(ql)?://([^:@/?#]+@)?[^@?#]+([?][^@#]*)?$" .Values.store.url)) (regexMatch "[?&](password|passfile)=" .Values.store.url)) }}
{{- fail "store.url: write postgres://USER@HOST:PORT/DATABASE, and no password: that is in the Secret of store.passwordSecret" }}
{{- end }}
{{- if and .Values.keysSecret (not .Values.store.url) }}
{{- fail "keysSecret: without store.url the one pod keeps its keys on its volume, where they can be rotated: leave it empty" }}
{{- end }}
{{- if not .Values.config.public_url }}
{{- fail "config.public_url: set the address by which people reach the console, https://assent.example.com" }}
{{- end }}
{{- end }}

{{- define "assent.config" -}}
{{- $own := dict "data" "/var/lib/assent/data" "listen" "0.0.0.0:8720" "tls" (dict "cert" "/etc/assent/tls/tls.crt" "key" "/etc/assent/tls/tls.key") }}
{{- if .Values.store.url }}
{{- $_ := set $own "keys" "/etc/assent/keys" }}
{{- $_ := set $own "store" (dict "url" .Values.store.url "schema" .Values.store.schema "password" (dict "file" (printf "/etc/assent/store/%s" .Values.store.passwordSecret.key))) }}
{{- end }}
{{- toYaml (merge $own .Values.config) }}
{{- end }}
