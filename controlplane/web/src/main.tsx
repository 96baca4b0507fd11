import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import './index.css'
import { takeUp } from './lib/session'
import { App } from './ui/App'
import { Broken } from './ui/Broken'

void takeUp()
createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <QueryClientProvider client={new QueryClient()}>
      <Broken><App /></Broken>
    </QueryClientProvider>
  </StrictMode>,
)
