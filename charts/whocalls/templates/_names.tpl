{{/* Names and labels. A role's template calls these with (dict "root" $ "role" "agent"). */}}

{{- define "whocalls.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 45 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 45 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 45 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "whocalls.roleName" -}}
{{- printf "%s-%s" (include "whocalls.fullname" .root) .role -}}
{{- end -}}

{{- define "whocalls.selectorLabels" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end -}}

{{- define "whocalls.labels" -}}
{{ include "whocalls.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: whocalls
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* metadata of an object of a role; "suffix" and "namespace" are optional. */}}
{{- define "whocalls.metadata" -}}
name: {{ include "whocalls.roleName" . }}{{ with .suffix }}-{{ . }}{{ end }}
{{- if not .clusterWide }}
namespace: {{ .namespace | default (include "whocalls.namespace" .) }}
{{- end }}
labels:
  {{- include "whocalls.labels" . | nindent 2 }}
{{- with mergeOverwrite (deepCopy .root.Values.commonAnnotations) (.annotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "whocalls.namespace" -}}
{{- if eq .role "agent" -}}
{{- .root.Values.agent.namespace | default .root.Release.Namespace -}}
{{- else -}}
{{- .root.Release.Namespace -}}
{{- end -}}
{{- end -}}

{{- define "whocalls.image" -}}
{{- $image := .image | default (index .root.Values .role).image -}}
{{- with .root.Values.image.registry }}{{ . }}/{{ end -}}
{{- $image.repository -}}
{{- if $image.digest -}}
@{{ $image.digest }}
{{- else -}}
:{{ $image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* PORT of a HOST:PORT setting. */}}
{{- define "whocalls.port" -}}
{{- regexFind "[0-9]+$" . -}}
{{- end -}}
