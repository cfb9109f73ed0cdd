{{/* What all pods have in common: who they run as, and how they reach Redis. */}}
{{- define "redurable.podSecurity" -}}
automountServiceAccountToken: false
# Links would set REDURABLE_* variables for a service of that name.
enableServiceLinks: false
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "redurable.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  capabilities:
    drop: [ALL]
{{- end -}}

{{/* Takes (list root settings env login): the environment of a container; login: username and passwordKey of its own. Each
variable once, the last one, as containers read it: applying on the server's side refuses a name twice. */}}
{{- define "redurable.env" -}}
{{- $seen := dict -}}
{{- $kept := list -}}
{{- range include "redurable.variables" . | fromYamlArray | reverse -}}
{{- if not (hasKey $seen .name) -}}{{- $kept = prepend $kept . -}}{{- end -}}
{{- $_ := set $seen .name true -}}
{{- end -}}
{{- toYaml $kept -}}
{{- end -}}

{{- define "redurable.variables" -}}
{{- $root := index . 0 -}}
{{- $redis := $root.Values.redis -}}
{{- $secret := $redis.existingSecret -}}
{{- $login := index . 3 -}}
{{- if and $secret.name (not (coalesce $secret.urlKey $secret.passwordKey $login.passwordKey)) -}}
{{- fail "redis.existingSecret.name alone takes nothing from the secret: set passwordKey, urlKey or both to its keys" -}}
{{- end -}}
- name: REDURABLE_HUB
  value: {{ $root.Values.hub.name | quote }}
{{- if $root.Values.valkey.enabled }}
- name: REDURABLE_REDIS_URL
  value: {{ printf "redis://%s-valkey:6379" (include "redurable.fullname" $root) | quote }}
{{- else if and $secret.name $secret.urlKey }}
- name: REDURABLE_REDIS_URL
  valueFrom:
    secretKeyRef:
      name: {{ $secret.name | quote }}
      key: {{ $secret.urlKey | quote }}
{{- else }}
- name: REDURABLE_REDIS_URL
  value: {{ required "say where Redis is: redis.url, or redis.existingSecret with urlKey, or for a trial valkey.enabled=true" $redis.url | quote }}
{{- end }}
{{- with default $redis.username $login.username }}
- name: REDURABLE_REDIS_USERNAME
  value: {{ . | quote }}
{{- end }}
{{- with default $secret.passwordKey $login.passwordKey }}
- name: REDURABLE_REDIS_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ required "redis.existingSecret.passwordKey is a key of redis.existingSecret.name: name the secret, too" $secret.name | quote }}
      key: {{ . | quote }}
{{- end }}
{{- if $redis.tls.ca.name }}
- name: REDURABLE_REDIS_CA_FILE
  value: {{ printf "/etc/redurable/redis-ca/%s" $redis.tls.ca.key | quote }}
{{- end }}
{{- range $name, $value := merge (deepCopy (index . 1)) $root.Values.settings }}
- name: REDURABLE_{{ upper $name }}
  value: {{ include "redurable.word" $value | quote }}
{{- end }}
{{- with concat $root.Values.env (index . 2) }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A value as a word: Helm reads numbers as floats, and would write 1e+06. */}}
{{- define "redurable.word" -}}
{{- if kindIs "float64" . -}}{{- if eq (float64 (int64 .)) . -}}{{- int64 . -}}{{- else -}}{{- . -}}{{- end -}}{{- else -}}{{- . -}}{{- end -}}
{{- end -}}

{{/* Takes (list root envFrom). */}}
{{- define "redurable.envFrom" -}}
{{- with concat (index . 0).Values.envFrom (index . 1) }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Takes (list root mounts). */}}
{{- define "redurable.volumeMounts" -}}
- name: tmp
  mountPath: /tmp
{{- if (index . 0).Values.redis.tls.ca.name }}
- name: redis-ca
  mountPath: /etc/redurable/redis-ca
  readOnly: true
{{- end }}
{{- with index . 1 }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Takes (list root volumes). */}}
{{- define "redurable.volumes" -}}
{{- $ca := (index . 0).Values.redis.tls.ca -}}
- name: tmp
  emptyDir: {}
{{- if $ca.name }}
- name: redis-ca
  {{- if eq $ca.kind "secret" }}
  secret:
    secretName: {{ $ca.name | quote }}
  {{- else }}
  configMap:
    name: {{ $ca.name | quote }}
  {{- end }}
{{- end }}
{{- with index . 1 }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Takes (list path port probe). */}}
{{- define "redurable.probe" -}}
httpGet:
  path: {{ index . 0 }}
  port: {{ index . 1 }}
{{ toYaml (index . 2) }}
{{- end -}}

{{/* Takes what has nodeSelector, tolerations, affinity and priorityClassName. */}}
{{- define "redurable.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end -}}
