{{/* What the pods of all roles share. Called with (dict "root" $ "role" "agent" "settings" VALUES-OF-THE-ROLE). */}}

{{- define "whocalls.podMetadata" -}}
labels:
  {{- include "whocalls.selectorLabels" . | nindent 2 }}
  {{- with mergeOverwrite (deepCopy .root.Values.commonLabels) (.settings.podLabels | default dict) }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  # A changed configuration rolls the pods.
  checksum/config: {{ .root.Values.config | toYaml | sha256sum }}
  {{- with .settings.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "whocalls.scheduling" -}}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .settings.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .settings.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .settings.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .settings.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .settings.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .settings.terminationGracePeriodSeconds }}
terminationGracePeriodSeconds: {{ . }}
{{- end }}
{{- end -}}

{{/* Of every pod but the agent's: what Pod Security calls restricted. */}}
{{- define "whocalls.restrictedPod" -}}
automountServiceAccountToken: {{ .token | default (eq .role "watcher") }}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  {{- if not .root.Values.openshift.enabled }}
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  {{- end }}
  seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "whocalls.restrictedContainer" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{/* The role's own Kafka secrets over those of all. */}}
{{- define "whocalls.kafka" -}}
{{- mergeOverwrite (deepCopy .root.Values.kafka) (deepCopy (.settings.kafka | default dict)) | toYaml -}}
{{- end -}}

{{- define "whocalls.kafkaEnv" -}}
{{- $kafka := include "whocalls.kafka" . | fromYaml -}}
{{- if $kafka.sasl.existingSecret }}
- name: WHOCALLS_KAFKA_SASL_PASSWORD_FILE
  value: /etc/whocalls/kafka-sasl/{{ $kafka.sasl.passwordKey }}
{{- if $kafka.sasl.usernameKey }}
- name: WHOCALLS_KAFKA_SASL_USERNAME
  valueFrom: {secretKeyRef: {name: {{ $kafka.sasl.existingSecret }}, key: {{ $kafka.sasl.usernameKey }}}}
{{- end }}
{{- end }}
{{- if $kafka.tls.existingSecret }}
{{- if $kafka.tls.caKey }}
- name: WHOCALLS_KAFKA_TLS_CA_FILE
  value: /etc/whocalls/kafka-tls/{{ $kafka.tls.caKey }}
{{- end }}
{{- if $kafka.tls.certificateKey }}
- name: WHOCALLS_KAFKA_TLS_CERTIFICATE_FILE
  value: /etc/whocalls/kafka-tls/{{ $kafka.tls.certificateKey }}
- name: WHOCALLS_KAFKA_TLS_KEY_FILE
  value: /etc/whocalls/kafka-tls/{{ $kafka.tls.keyKey }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "whocalls.volumeMounts" -}}
{{- $kafka := include "whocalls.kafka" . | fromYaml -}}
- {name: config, mountPath: /etc/whocalls/config, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- if $kafka.sasl.existingSecret }}
- {name: kafka-sasl, mountPath: /etc/whocalls/kafka-sasl, readOnly: true}
{{- end }}
{{- if $kafka.tls.existingSecret }}
- {name: kafka-tls, mountPath: /etc/whocalls/kafka-tls, readOnly: true}
{{- end }}
{{- end -}}

{{- define "whocalls.volumes" -}}
{{- $kafka := include "whocalls.kafka" . | fromYaml -}}
- name: config
  configMap: {name: {{ .configMap | default (include "whocalls.fullname" .root) }}}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- if $kafka.sasl.existingSecret }}
- name: kafka-sasl
  secret:
    secretName: {{ $kafka.sasl.existingSecret }}
    items:
      - {key: {{ $kafka.sasl.passwordKey }}, path: {{ $kafka.sasl.passwordKey }}}
{{- end }}
{{- if $kafka.tls.existingSecret }}
- name: kafka-tls
  secret:
    secretName: {{ $kafka.tls.existingSecret }}
    items:
      {{- if $kafka.tls.caKey }}
      - {key: {{ $kafka.tls.caKey }}, path: {{ $kafka.tls.caKey }}}
      {{- end }}
      {{- if $kafka.tls.certificateKey }}
      - {key: {{ $kafka.tls.certificateKey }}, path: {{ $kafka.tls.certificateKey }}}
      - {key: {{ $kafka.tls.keyKey }}, path: {{ $kafka.tls.keyKey }}}
      {{- end }}
{{- end }}
{{- end -}}

{{/* A container that runs one role; the rest of it follows the include. */}}
{{- define "whocalls.container" -}}
name: {{ .role }}
image: {{ include "whocalls.image" . }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: [{{ .role }}, --config, /etc/whocalls/config/whocalls.yaml]
resources:
  {{- toYaml .settings.resources | nindent 2 }}
{{- end -}}
