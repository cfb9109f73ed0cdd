{{/* Names and labels. */}}
{{- define "redurable.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Services are named by it: no dots, which releases may have, and a letter in front. */}}
{{- define "redurable.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $release := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- $fullname := default ($release | replace "." "-") .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- if not (regexMatch "^[a-z][a-z0-9-]*$" $fullname) -}}
{{- fail (printf "objects cannot be named %s: set fullnameOverride to something of a-z, 0-9 and -, with a letter in front" $fullname) -}}
{{- end -}}
{{- $fullname -}}
{{- end -}}

{{/* The labels that selectors use: they never change. */}}
{{- define "redurable.selectorLabels" -}}
app.kubernetes.io/name: {{ include "redurable.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{/* Takes (list root own more): own says which object it is, more is what the values add. Each label once: YAML with a key
twice is not read by everybody, and what selectors use counts most. */}}
{{- define "redurable.labels" -}}
{{- $root := index . 0 -}}
{{- $chart := $root.Chart -}}
{{- $labels := dict "app.kubernetes.io/version" $chart.AppVersion "app.kubernetes.io/part-of" "redurable" -}}
{{- $_ := set $labels "app.kubernetes.io/managed-by" $root.Release.Service -}}
{{- $_ := set $labels "helm.sh/chart" (printf "%s-%s" $chart.Name $chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- $selected := include "redurable.selectorLabels" $root | fromYaml -}}
{{- range $key, $value := merge dict (index . 2) $root.Values.commonLabels -}}
{{- if or (hasKey $selected $key) (has $key (list "app.kubernetes.io/component" "redurable/pool")) -}}
{{- fail (printf "label %s is what selectors go by: leave it out of commonLabels, podLabels and labels" $key) -}}
{{- end -}}
{{- end -}}
{{- toYaml (merge dict (index . 1) $selected (index . 2) $root.Values.commonLabels $labels) -}}
{{- end -}}

{{- define "redurable.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "redurable.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "redurable.apiKeysSecret" -}}
{{- default (printf "%s-api-keys" (include "redurable.fullname" .)) .Values.api.keys.existingSecret -}}
{{- end -}}

{{/* Takes (list root ownImage): the own image counts more, field by field. A digest goes with the tag that it belongs to. */}}
{{- define "redurable.image" -}}
{{- $root := index . 0 -}}
{{- $own := index . 1 -}}
{{- $image := mergeOverwrite (deepCopy $root.Values.image) (ternary (dict "digest" "") dict (not (empty $own.tag))) $own -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default $root.Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}
