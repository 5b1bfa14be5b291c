// Counts the provider's own events by client. `grant.revoked` is how it answers replay: a code or a
// refresh token that comes a second time costs its client everything that was granted with it.

/** The counts, which go on changing. `nobody` is who did not prove to be a client. */
export function countEvents(provider, clients) {
  const none = () => ({
    'grant.success': {},
    'grant.error': {},
    'grant.revoked': 0,
    'refresh_token.consumed': 0,
  })
  const counts = { nobody: none() }
  const roles = new Map()
  for (const [role, { clientId }] of Object.entries(clients)) {
    counts[role] = none()
    roles.set(clientId, role)
  }
  const of = (clientId) => counts[roles.get(clientId) ?? 'nobody']

  for (const event of ['grant.success', 'grant.error']) {
    provider.on(event, ({ oidc }) => {
      const byGrantType = of(oidc.client?.clientId)[event]
      const grantType = oidc.params?.grant_type ?? ''
      byGrantType[grantType] = (byGrantType[grantType] ?? 0) + 1
    })
  }
  provider.on('grant.revoked', ({ oidc }) => { of(oidc.client?.clientId)['grant.revoked'] += 1 })
  provider.on('refresh_token.consumed', (token) => {
    of(token.clientId)['refresh_token.consumed'] += 1
  })
  return counts
}
