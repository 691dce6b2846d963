/** /admin: the hub itself, for admins. */
import '../look/base.css'
import './admin.css'
import { render } from 'preact'
import { createCredential } from '../hub/credential.ts'
import { Entrance } from '../hub/Entrance.tsx'
import { createTheme } from '../look/theme.ts'
import { AdminPage } from './AdminPage.tsx'

const theme = createTheme()
const credential = createCredential()

render(
  <Entrance credential={credential}>
    {(setup) => <AdminPage credential={credential} setup={setup} theme={theme} />}
  </Entrance>,
  document.getElementById('page')!,
)
