{{/* What no schema can say: contradictions between values, each one sentence with its remedy. */}}
{{- define "whocalls.check" -}}
{{- $protocol := dig "kafka" "security_protocol" "" .Values.config -}}
{{- range $role := list "agent" "watcher" "processor" "exporter" "page" -}}
{{- $settings := index $.Values $role -}}
{{- $kafka := include "whocalls.kafka" (dict "root" $ "settings" $settings) | fromYaml -}}
{{- if and $settings.enabled (contains "SASL" $protocol) (not $kafka.sasl.existingSecret) -}}
{{- fail (printf "config.kafka.security_protocol is %q, but the %s has no password (set kafka.sasl.existingSecret, or %s.kafka.sasl.existingSecret)" $protocol $role $role) -}}
{{- end -}}
{{- if and $kafka.tls.certificateKey (not $kafka.tls.keyKey) -}}
{{- fail "kafka.tls.certificateKey is set without kafka.tls.keyKey (name the key of the private key in the same Secret)" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.monitoring.podMonitor.enabled .Values.monitoring.serviceMonitor.enabled -}}
{{- fail "monitoring.podMonitor and monitoring.serviceMonitor are both enabled (choose one: each pod would be scraped twice)" -}}
{{- end -}}
{{- $git := .Values.exporter.git -}}
{{- if and $git.existingSecret (not $git.tokenKey) (not $git.sshKeyKey) -}}
{{- fail "exporter.git.existingSecret is set without a key (set exporter.git.tokenKey or exporter.git.sshKeyKey)" -}}
{{- end -}}
{{- if and (eq .Values.topics.manage "strimzi") (not .Values.topics.strimzi.cluster) -}}
{{- fail "topics.manage is \"strimzi\", but topics.strimzi.cluster is empty (name the Kafka object)" -}}
{{- end -}}
{{- end -}}
